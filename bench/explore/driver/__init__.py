"""The exploring process: carries out one schedule after another, and the processes that it starts for that.

    main              the main module; it explores a target and journals what it finds
    exploration       the loop: asks a strategy for a plan, has it carried out, counts the outcomes
    subject           the interface of what is explored: a scenario's actors, or a program
    scenario, actors, actor_process   the subject that is a scenario, and its processes
    afresh            the same, with a main process of its own for each schedule
    program, program_process          the subject that is a program, and its main process
    executor          runs one plan, and reads its trace from the board
    labels            names for the numbers of a trace

The two `..._process` modules run in the processes that the exploring process starts.
"""
